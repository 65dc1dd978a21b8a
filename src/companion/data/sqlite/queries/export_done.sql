UPDATE export_jobs
SET status = 'done', progress = 100, finished_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER),
  expires_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER) + ?7, row_count = ?3, byte_count = ?4, sha256 = ?5, file = ?6, error = NULL
WHERE id = ?1 AND tries = ?2 AND status = 'running' AND NOT cancel_requested
  -- Nobody else finishes one of this tenant at the same time: the lock of `export_lock` is held.
  AND ?4 + (
    SELECT coalesce(sum(kept.byte_count), 0)
    FROM export_jobs AS kept
    WHERE kept.organization_id = export_jobs.organization_id AND kept.status = 'done' AND kept.request IS NOT NULL
      AND kept.expires_at > CAST(unixepoch('subsec') * 1000000 AS INTEGER)
  ) <= ?8
RETURNING id, organization_id, requested_by, format, status, progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries, cancel_requested, created_at AS created_at_us, expires_at AS expires_at_us
