// An OpenID provider for the gateway's tests: node-oidc-provider with a realm of its own, over HTTPS.
// Settings come from the environment: PORT, CERT, KEY (PEM files), GATEWAY (its base URL), KID (name of the key).
// Beside the provider's own endpoints `POST /mint` signs any claims with its key (or, with "key": "other",
// with one nobody knows): tokens that a provider would never issue.
import fs from 'node:fs';
import https from 'node:https';
import Provider from 'oidc-provider';
import { SignJWT, exportJWK, generateKeyPair, importJWK } from 'jose';

const { PORT, CERT, KEY, GATEWAY, KID } = process.env;
const issuer = `https://localhost:${PORT}`;
const audience = 'https://gateway.test';

async function key(kid) {
  const { privateKey } = await generateKeyPair('RS256', { modulusLength: 2048, extractable: true });
  return { ...(await exportJWK(privateKey)), kid, alg: 'RS256', use: 'sig' };
}
const own = await key(KID);
const other = await key(KID);

const machine = (client_id) => ({
  client_id, client_secret: 'secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
});
const roles = { reader: ['dsf-reader'], nobody: ['something-else'] };

const provider = new Provider(issuer, {
  clients: [
    machine('reader'),
    machine('nobody'),
    {
      client_id: 'gateway',
      client_secret: 'secret',
      redirect_uris: [`${GATEWAY}/oidc/callback`],
      response_types: ['code'],
      grant_types: ['authorization_code'],
      backchannel_logout_uri: `${GATEWAY}/back-channel-logout`,
      backchannel_logout_session_required: true,
    },
  ],
  jwks: { keys: [own] },
  cookies: { keys: ['for tests'] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['realm_access', 'groups'] },
  conformIdTokenClaims: false,
  // Without the provider's guard against addresses of this machine: the gateway of a test is there.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  pkce: { required: () => true },
  features: {
    backchannelLogout: { enabled: true },
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx, client) => (client.clientId in roles ? audience : undefined),
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: '', audience, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  extraTokenClaims: (ctx, token) => ({
    sid: 'session-of-a-machine', realm_access: { roles: roles[token.clientId] ?? [] },
  }),
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: async () => ({
      sub: id, email: `${id}@hospital.test`, email_verified: true, realm_access: { roles: roles.reader },
    }),
  }),
});
provider.use(async (ctx, next) => {
  if (ctx.path !== '/mint') return next();
  const parts = [];
  for await (const part of ctx.req) parts.push(part);
  const { claims, key: which, header } = JSON.parse(Buffer.concat(parts).toString());
  const signing = which === 'other' ? other : own;
  ctx.body = await new SignJWT(claims)
    .setProtectedHeader({ alg: 'RS256', kid: KID, ...header })
    .sign(header?.alg?.startsWith('HS') ? new TextEncoder().encode('secret'.repeat(8)) : await importJWK(signing));
});
provider.on('server_error', (ctx, error) => console.error(error));
provider.on('backchannel.error', (ctx, error) => console.error(error));
https
  .createServer({ cert: fs.readFileSync(CERT), key: fs.readFileSync(KEY) }, provider.callback())
  .listen(Number(PORT), '127.0.0.1', () => console.log('ready'));
