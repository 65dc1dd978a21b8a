SELECT (
  SELECT id
  FROM export_jobs
  WHERE organization_id = $1 AND once = $2::text
    AND (status IN ('queued', 'running') OR (status = 'done' AND expires_at > now()))
) AS known, (
  SELECT count(*)
  FROM export_jobs
  WHERE organization_id = $1 AND status IN ('queued', 'running') AND request IS NOT NULL
) AS under_way, kept.files, kept.bytes, kept.frees_in_us
FROM (
  SELECT count(*) AS files, coalesce(sum(byte_count), 0)::bigint AS bytes,
    coalesce((extract(epoch FROM min(expires_at) - now()) * 1000000)::bigint, 0) AS frees_in_us
  FROM export_jobs
  WHERE organization_id = $1 AND status = 'done' AND request IS NOT NULL AND expires_at > now()
) AS kept
