INSERT INTO user_activity_days (organization_id, day, user_id)
SELECT DISTINCT o.id, span.day, s.user_id
FROM organizations o
CROSS JOIN (
  SELECT json_extract(value, '$[2]') AS day, json_extract(value, '$[0]') AS begins,
    json_extract(value, '$[1]') AS ends
  FROM json_each(?2)
) AS span
CROSS JOIN user_sessions s ON s.organization_id = o.id AND s.started_at >= span.begins AND s.started_at < span.ends
WHERE o.timezone = ?1
