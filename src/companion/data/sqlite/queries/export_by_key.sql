SELECT id, organization_id, requested_by, format, status, progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries, cancel_requested, created_at AS created_at_us, expires_at AS expires_at_us
FROM export_jobs
WHERE organization_id = ?1 AND once = ?2
