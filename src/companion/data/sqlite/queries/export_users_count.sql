SELECT count(*) AS total
FROM (
  SELECT 1
  FROM users
  WHERE organization_id = ?1 AND deleted_at IS NULL AND created_at >= ?2 AND created_at < ?3
  LIMIT ?4
) AS counted
