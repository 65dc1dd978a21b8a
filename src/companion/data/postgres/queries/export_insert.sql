INSERT INTO export_jobs (id, organization_id, requested_by, format, status, request, request_digest, once, row_count, tries,
  claimed_by, heartbeat_at, started_at)
SELECT $1, $2, $3, $4, CASE WHEN $10::text IS NULL THEN 'queued' ELSE 'running' END, $5, $6, $7, $8,
  CASE WHEN $10::text IS NULL THEN 0 ELSE 1 END, $10::text,
  CASE WHEN $10::text IS NULL THEN NULL ELSE now() END, CASE WHEN $10::text IS NULL THEN NULL ELSE now() END
WHERE (
  SELECT count(*)
  FROM export_jobs
  WHERE organization_id = $2 AND status IN ('queued', 'running') AND request IS NOT NULL
) < $9 AND (
  SELECT count(*) < $11 AND coalesce(sum(byte_count), 0)::bigint < $12
  FROM export_jobs
  WHERE organization_id = $2 AND status = 'done' AND request IS NOT NULL AND expires_at > now()
)
ON CONFLICT (once) DO NOTHING
RETURNING id, organization_id, requested_by, format, status, progress::bigint AS progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries::bigint AS tries, cancel_requested::int::bigint AS cancel_requested,
  (extract(epoch FROM created_at) * 1000000)::bigint AS created_at_us,
  (extract(epoch FROM expires_at) * 1000000)::bigint AS expires_at_us
