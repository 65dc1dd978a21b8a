SELECT count(DISTINCT user_id) AS online
FROM user_sessions
WHERE organization_id = ?1 AND ended_at IS NULL AND last_seen_at >= ?2
