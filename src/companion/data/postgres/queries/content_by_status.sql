SELECT status::text AS status, count(*) AS total
FROM educational_content
WHERE organization_id = $1::uuid AND deleted_at IS NULL
GROUP BY status
