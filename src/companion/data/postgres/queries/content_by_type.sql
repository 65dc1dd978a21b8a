SELECT content_type::text AS content_type, count(*) AS total
FROM educational_content
WHERE organization_id = $1::uuid AND deleted_at IS NULL
GROUP BY content_type
