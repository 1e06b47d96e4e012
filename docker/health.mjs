// Is the service in this container ready? `node health.mjs <port>`; exit 0: /readyz says yes.
const port = process.argv[2];
const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(2_000) }).catch(
  (error) => ({
    status: error.cause?.code ?? error.name,
  }),
);
if (answer.status !== 200) console.log(`port ${port}: ${answer.status}`);
process.exit(answer.status === 200 ? 0 : 1);
