SELECT count(*) AS total
FROM users
WHERE organization_id = $1::uuid AND deleted_at IS NULL AND created_at < to_timestamp($2 / 1000000.0)
