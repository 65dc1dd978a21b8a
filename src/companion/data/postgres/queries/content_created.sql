-- One pass over the tenant's rows, whether there is an index or not. Spans touch: each ends where the next begins.
SELECT width_bucket(created_at, span.begins)::bigint - 1 AS number, status::text AS status, count(*) AS total
FROM (
  SELECT array_agg(to_timestamp((it ->> 0)::bigint / 1000000.0) ORDER BY number) AS begins,
    to_timestamp(min((it ->> 0)::bigint) / 1000000.0) AS first, to_timestamp(max((it ->> 1)::bigint) / 1000000.0) AS ends
  FROM json_array_elements($2::json) WITH ORDINALITY AS them (it, number)
) AS span
JOIN educational_content ON organization_id = $1::uuid AND deleted_at IS NULL
  AND created_at >= span.first AND created_at < span.ends
GROUP BY 1, 2
