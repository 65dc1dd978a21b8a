INSERT INTO export_jobs (id, organization_id, requested_by, format, status, request, request_digest, once, row_count, tries,
  claimed_by, heartbeat_at, started_at, created_at)
SELECT ?1, ?2, ?3, ?4, CASE WHEN ?10 IS NULL THEN 'queued' ELSE 'running' END, ?5, ?6, ?7, ?8,
  CASE WHEN ?10 IS NULL THEN 0 ELSE 1 END, ?10, iif(?10 IS NULL, NULL, now), iif(?10 IS NULL, NULL, now), now
FROM (SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now) AS clock
WHERE (
  SELECT count(*)
  FROM export_jobs
  WHERE organization_id = ?2 AND status IN ('queued', 'running') AND request IS NOT NULL
) < ?9 AND (
  SELECT count(*) < ?11 AND coalesce(sum(byte_count), 0) < ?12
  FROM export_jobs
  WHERE organization_id = ?2 AND status = 'done' AND request IS NOT NULL AND expires_at > CAST(unixepoch('subsec') * 1000000 AS INTEGER)
)
ON CONFLICT (once) DO NOTHING
RETURNING id, organization_id, requested_by, format, status, progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries, cancel_requested, created_at AS created_at_us, expires_at AS expires_at_us
