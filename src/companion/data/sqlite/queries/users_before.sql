SELECT count(*) AS total
FROM users
WHERE organization_id = ?1 AND deleted_at IS NULL AND created_at < ?2
