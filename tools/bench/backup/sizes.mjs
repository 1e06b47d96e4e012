// How much data does a group have in the bench `backup`, and in values of which size?

/** Megabytes of used_memory of a node. `--quick` divides them. */
const megabytes = [100, 1_000, 4_000];
const quickDivisor = 25;
const values = [
  { name: 'small', bytes: 90 },
  { name: 'large', bytes: 10_240 },
];

/** Each: `{ name, title, megabytes, bytes, valueBytes }`. */
export const sizes = megabytes.flatMap((amount) =>
  values.map((value) => ({
    name: `${amount}mb-${value.name}`,
    title: `${amount / 1_000} GB in memory, values of ${value.bytes.toLocaleString('en-US')} bytes`,
    megabytes: amount,
    valueBytes: value.bytes,
  })),
);

/** Bytes of used_memory that a trial asks for. */
export const bytesOf = ({ megabytes: amount }, quick) => (amount * 1_000_000) / (quick ? quickDivisor : 1);
