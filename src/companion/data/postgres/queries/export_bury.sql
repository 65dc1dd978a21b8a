UPDATE export_jobs
SET status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'failed' END, once = NULL, finished_at = now(),
  error = CASE WHEN cancel_requested THEN NULL ELSE $3 END
WHERE status IN ('queued', 'running') AND request IS NOT NULL AND (tries >= $1 OR cancel_requested)
  AND heartbeat_at <= now() - $2 * interval '1 microsecond'
RETURNING id, organization_id, requested_by, format, status, progress::bigint AS progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries::bigint AS tries, cancel_requested::int::bigint AS cancel_requested,
  (extract(epoch FROM created_at) * 1000000)::bigint AS created_at_us,
  (extract(epoch FROM expires_at) * 1000000)::bigint AS expires_at_us
