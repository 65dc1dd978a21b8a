SELECT CAST(status AS TEXT) AS status, count(*) AS total
FROM educational_content
WHERE organization_id = ?1 AND deleted_at IS NULL
GROUP BY status
