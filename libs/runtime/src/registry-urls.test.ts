import { registryUrlsIn } from './registry-urls.ts';

describe('the registries of the environment', () => {
  it.each([
    [undefined, []],
    ['', []],
    ['http://one:4721, http://two:4721,', ['http://one:4721', 'http://two:4721']],
  ])('in %j are %j', (text, expected) => {
    expect(registryUrlsIn(text === undefined ? {} : { SWITCHYARD_REGISTRY_URL: text })).toEqual(expected);
  });
});
