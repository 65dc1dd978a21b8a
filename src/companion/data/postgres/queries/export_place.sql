SELECT (
  SELECT id
  FROM export_jobs
  WHERE organization_id = $1 AND once = $2::text
    AND (status IN ('queued', 'running') OR (status = 'done' AND expires_at > now()))
) AS known, (
  SELECT count(*)
  FROM export_jobs
  WHERE organization_id = $1 AND status IN ('queued', 'running') AND request IS NOT NULL
) AS under_way
