SELECT tailnum, year, manufacturer, model, seats, engine
FROM registry
WHERE seats >= 100
