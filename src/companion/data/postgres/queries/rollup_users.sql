INSERT INTO user_activity_days (organization_id, day, user_id)
SELECT DISTINCT o.id, span.day, s.user_id
FROM organizations o
CROSS JOIN (
  SELECT (it ->> 2)::date AS day, to_timestamp((it ->> 0)::bigint / 1000000.0) AS begins,
    to_timestamp((it ->> 1)::bigint / 1000000.0) AS ends
  FROM json_array_elements($2::json) AS it
) AS span
JOIN user_sessions s ON s.organization_id = o.id AND s.started_at >= span.begins AND s.started_at < span.ends
WHERE o.timezone = $1
