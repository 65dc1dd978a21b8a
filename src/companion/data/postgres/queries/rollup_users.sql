-- A day of a tenant at a time: each is a short piece of the index. Joined, days times sessions would be compared.
INSERT INTO user_activity_days (organization_id, day, user_id)
SELECT o.id, span.day, begun.user_id
FROM organizations o
CROSS JOIN (
  SELECT (it ->> 2)::date AS day, to_timestamp((it ->> 0)::bigint / 1000000.0) AS begins,
    to_timestamp((it ->> 1)::bigint / 1000000.0) AS ends
  FROM json_array_elements($2::json) AS it
) AS span
CROSS JOIN LATERAL (
  SELECT DISTINCT user_id
  FROM user_sessions
  WHERE organization_id = o.id AND started_at >= span.begins AND started_at < span.ends
) AS begun
WHERE o.timezone = $1
