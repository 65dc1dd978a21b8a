UPDATE export_jobs
SET status = 'expired', once = NULL
WHERE status = 'done' AND expires_at <= CAST(unixepoch('subsec') * 1000000 AS INTEGER)
RETURNING id, organization_id, requested_by, format, status, progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries, cancel_requested, created_at AS created_at_us, expires_at AS expires_at_us
