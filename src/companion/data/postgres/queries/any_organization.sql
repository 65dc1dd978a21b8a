SELECT id::text AS id FROM organizations LIMIT 1
