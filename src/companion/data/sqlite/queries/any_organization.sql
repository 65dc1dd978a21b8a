SELECT id FROM organizations LIMIT 1
