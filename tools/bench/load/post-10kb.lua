-- What does wrk send in the POST bench? 10 kB that come back as they are.
wrk.method = "POST"
wrk.body = string.rep("x", 10000)
wrk.headers["Content-Type"] = "text/plain"
