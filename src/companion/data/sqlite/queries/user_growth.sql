-- CROSS JOIN keeps the order: a span at a time, each a short piece of the index.
SELECT span.key AS number, count(*) AS new
FROM json_each(?2) AS span
CROSS JOIN users
WHERE organization_id = ?1 AND deleted_at IS NULL
  AND created_at >= json_extract(span.value, '$[0]') AND created_at < json_extract(span.value, '$[1]')
GROUP BY span.key
