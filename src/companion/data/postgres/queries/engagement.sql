SELECT span.number - 1 AS number, made.sessions, made.users, made.ended, made.seconds
FROM json_array_elements($2::json) WITH ORDINALITY AS span (it, number)
CROSS JOIN LATERAL (
  SELECT count(*) AS sessions, count(DISTINCT user_id) AS users, count(duration_seconds) AS ended,
    sum(duration_seconds)::float8 AS seconds
  FROM user_sessions
  WHERE organization_id = $1::uuid
    AND started_at >= to_timestamp((span.it ->> 0)::bigint / 1000000.0)
    AND started_at < to_timestamp((span.it ->> 1)::bigint / 1000000.0)
) AS made
