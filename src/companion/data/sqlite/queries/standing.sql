SELECT tbl_name || '.' || name AS key FROM sqlite_master WHERE type = 'index'
