UPDATE export_jobs
SET status = 'expired', once = NULL
WHERE status = 'done' AND expires_at <= now()
RETURNING id, organization_id, requested_by, format, status, progress::bigint AS progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries::bigint AS tries, cancel_requested::int::bigint AS cancel_requested,
  (extract(epoch FROM created_at) * 1000000)::bigint AS created_at_us,
  (extract(epoch FROM expires_at) * 1000000)::bigint AS expires_at_us
