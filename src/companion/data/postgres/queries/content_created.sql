SELECT span.number - 1 AS number, made.status::text AS status, made.total
FROM json_array_elements($2::json) WITH ORDINALITY AS span (it, number)
CROSS JOIN LATERAL (
  SELECT status, count(*) AS total
  FROM educational_content
  WHERE organization_id = $1::uuid AND deleted_at IS NULL
    AND created_at >= to_timestamp((span.it ->> 0)::bigint / 1000000.0)
    AND created_at < to_timestamp((span.it ->> 1)::bigint / 1000000.0)
  GROUP BY status
) AS made
