import { primaryClaims } from './sentinel-claims.ts';

const at = (port: number) => ({ host: '127.0.0.1', port });
const claim = (port: number, epoch: number | null) => ({ primary: at(port), epoch });
const known = (epoch: number | null) => ({ sentinels: 3, epoch });

describe('what the Sentinels claim', () => {
  it('is ordered by the epoch, then by how many say it', () => {
    const { candidates, majority } = primaryClaims([claim(1, 4), claim(1, 4), claim(2, 5)], known(null));

    expect(candidates.map(({ primary }) => primary.port)).toEqual([2, 1]);
    expect(majority).toEqual(claim(1, 4));
  });

  it('of a minority is not believed when it is older than what is known, and believed when it is newer', () => {
    expect(primaryClaims([claim(1, 4)], known(5)).candidates).toEqual([]);
    expect(primaryClaims([claim(2, 6)], known(5)).candidates).toMatchObject([claim(2, 6)]);
  });

  it('of a majority is believed although its epoch is lower: the Sentinels were set up anew', () => {
    expect(primaryClaims([claim(1, 0), claim(1, 0)], known(5)).candidates).toMatchObject([claim(1, 0)]);
  });

  it('names as the epoch of the majority what more than half have reached: a leader is ahead', () => {
    expect(primaryClaims([claim(1, 5), claim(1, 4), claim(1, 4)], known(4)).majority).toEqual(claim(1, 4));
    expect(primaryClaims([claim(1, 5)], known(4)).majority).toBeUndefined();
    expect(primaryClaims([], known(4)).candidates).toEqual([]);
  });
});
