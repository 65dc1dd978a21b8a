SELECT day::text AS day, sessions, active_users AS users, ended_sessions AS ended, session_seconds::float8 AS seconds
FROM metrics_daily
WHERE organization_id = $1::uuid AND day >= $3::date AND day <= $4::date AND timezone = $2 AND settled
