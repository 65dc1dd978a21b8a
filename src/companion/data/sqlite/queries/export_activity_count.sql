SELECT count(*) AS total
FROM (
  SELECT 1
  FROM activity_log
  WHERE organization_id = ?1 AND created_at >= ?2 AND created_at < ?3
  LIMIT ?4
) AS counted
