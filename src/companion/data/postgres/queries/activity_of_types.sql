-- Each type has its own piece of the index: the page is merged from their newest, and a rare one is not searched for.
SELECT a.id::bigint AS id, a.activity_type::text AS activity_type, a.user_id::text AS user_id,
  nullif(trim(coalesce(u.first_name, '') || ' ' || coalesce(u.last_name, '')), '') AS user_name, a.entity_type::text AS entity_type,
  a.entity_id::text AS entity_id, a.summary::text AS summary, (extract(epoch FROM a.created_at) * 1000000)::bigint AS occurred_at_us
FROM (SELECT DISTINCT unnest($6::text[]) AS name) AS wanted
CROSS JOIN LATERAL (
  SELECT *
  FROM activity_log
  WHERE organization_id = $1::uuid AND activity_type::text = wanted.name
    AND created_at >= to_timestamp($2 / 1000000.0) AND (created_at, id) < (to_timestamp($3 / 1000000.0), $4)
  ORDER BY created_at DESC, id DESC
  LIMIT $5
) AS a
-- A name is one of the tenant's own, whatever the row of the feed says.
LEFT JOIN users u ON u.id = a.user_id AND u.organization_id = a.organization_id
ORDER BY a.created_at DESC, a.id DESC
LIMIT $5
