SELECT span.key AS number, CAST(status AS TEXT) AS status, count(*) AS total
FROM json_each(?2) AS span
CROSS JOIN educational_content
WHERE organization_id = ?1 AND deleted_at IS NULL
  AND created_at >= json_extract(span.value, '$[0]') AND created_at < json_extract(span.value, '$[1]')
GROUP BY span.key, status
