SELECT o.id::text AS id, o.name AS name, o.timezone AS timezone, counted.users AS users, (
  SELECT u.id::text FROM users u
  WHERE u.organization_id = o.id AND u.role = 'admin' AND u.deleted_at IS NULL
  ORDER BY u.created_at, u.id LIMIT 1
) AS admin
FROM (
  SELECT organization_id, count(*) AS users FROM users WHERE deleted_at IS NULL GROUP BY organization_id
) AS counted
JOIN organizations o ON o.id = counted.organization_id
ORDER BY counted.users DESC, o.id
LIMIT $1
