-- One SELECT. Each row becomes a record at the destination.
SELECT id, name, lower(email) AS email, plan, signed_up
FROM customers
WHERE cancelled IS NULL
