// A provider of OpenID Connect for stories: the certified `oidc-provider` of npm, with its own pages.
//
//     node tests/tools/oidc-provider.mjs FOLDER HOST PORT HUB
//
// FOLDER has the package below node_modules, HUB is the address of the hub. Whoever logs in there
// by the name NAME is NAME, with any password. Its keys are made anew at each start.
import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const [folder, host, port, hub] = process.argv.slice(2);
const library = pathToFileURL(`${folder}/node_modules/oidc-provider/lib/index.js`);
const { default: Provider } = await import(library);

const start = Date.now();
const makeKey = (kind, options, alg) => ({
  ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }),
  alg,
  kid: `${alg}-${start}`,
  use: 'sig',
});
const client = (name, method, alg) => ({
  client_id: `client-${name}`,
  client_secret: 'a secret, with: signs/of+all kinds',
  redirect_uris: [`${hub}/auth/callback/${name}`],
  token_endpoint_auth_method: method,
  id_token_signed_response_alg: alg,
});
const findAccount = (_, name) => ({
  accountId: name,
  claims: () => ({
    sub: name,
    preferred_username: name,
    email: `${name}@example.org`,
    email_verified: name !== 'mallory',
  }),
});

const provider = new Provider(`http://${host}:${port}`, {
  clients: [
    client('corp', 'client_secret_basic', 'RS256'),
    client('club', 'client_secret_post', 'ES256'),
  ],
  jwks: {
    keys: [
      makeKey('rsa', { modulusLength: 2048 }, 'RS256'),
      makeKey('ec', { namedCurve: 'P-256' }, 'ES256'),
    ],
  },
  claims: { openid: ['sub'], profile: ['preferred_username'], email: ['email', 'email_verified'] },
  cookies: { keys: ['only for tests'] },
  pkce: { methods: ['S256'], required: () => true },
  findAccount,
});
provider.on('server_error', (_, error) => console.error(error));
provider.listen(Number(port), host, () => console.log(`listening on ${host}:${port}`));
