SELECT (
  SELECT id
  FROM export_jobs
  WHERE organization_id = ?1 AND once = ?2
    AND (status IN ('queued', 'running') OR (status = 'done' AND expires_at > CAST(unixepoch('subsec') * 1000000 AS INTEGER)))
) AS known, (
  SELECT count(*)
  FROM export_jobs
  WHERE organization_id = ?1 AND status IN ('queued', 'running') AND request IS NOT NULL
) AS under_way, kept.files, kept.bytes, kept.frees_in_us
FROM (
  SELECT count(*) AS files, coalesce(sum(byte_count), 0) AS bytes,
    coalesce(min(expires_at) - CAST(unixepoch('subsec') * 1000000 AS INTEGER), 0) AS frees_in_us
  FROM export_jobs
  WHERE organization_id = ?1 AND status = 'done' AND request IS NOT NULL AND expires_at > CAST(unixepoch('subsec') * 1000000 AS INTEGER)
) AS kept
