SELECT CAST(content_type AS TEXT) AS content_type, count(*) AS total
FROM educational_content
WHERE organization_id = ?1 AND deleted_at IS NULL
GROUP BY content_type
