-- A span at a time, so that each is a short piece of the index, whatever the planner thinks of the whole.
SELECT span.number - 1 AS number, made.new
FROM json_array_elements($2::json) WITH ORDINALITY AS span (it, number)
CROSS JOIN LATERAL (
  SELECT count(*) AS new
  FROM users
  WHERE organization_id = $1::uuid AND deleted_at IS NULL
    AND created_at >= to_timestamp((span.it ->> 0)::bigint / 1000000.0)
    AND created_at < to_timestamp((span.it ->> 1)::bigint / 1000000.0)
) AS made
