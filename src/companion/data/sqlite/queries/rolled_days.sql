SELECT day, sessions, active_users AS users, ended_sessions AS ended, CAST(session_seconds AS REAL) AS seconds
FROM metrics_daily
WHERE organization_id = ?1 AND day >= ?3 AND day <= ?4 AND timezone = ?2 AND settled
