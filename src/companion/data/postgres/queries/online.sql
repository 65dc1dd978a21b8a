SELECT count(DISTINCT user_id) AS online
FROM user_sessions
WHERE organization_id = $1::uuid AND ended_at IS NULL AND last_seen_at >= to_timestamp($2 / 1000000.0)
