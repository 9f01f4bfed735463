// The same program as program.py, for two generations of the Node SDK: node program.js SETTINGS
"use strict";

const fs = require("fs");
const path = require("path");
const VisualRecognitionV3 = require("ibm-watson/visual-recognition/v3");

const { style, host, url, open, key, files } = JSON.parse(process.argv[2]);
const version = "2018-03-19";
const newer = style === "node-6";
const MILLISECONDS = 120000;

const stream = (name) => fs.createReadStream(path.join(files, name));
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Names as the generation has them: fooBar in the newer one, foo_bar in the older. */
const named = (options) => Object.fromEntries(Object.entries(options).map(([name, value]) =>
  [newer ? name : name.replace(/[A-Z]/g, (sign) => "_" + sign.toLowerCase()), value]));

function withIam(apikey) {
  if (newer) {
    const { IamAuthenticator } = require("ibm-watson/auth");
    return new VisualRecognitionV3({
      version, serviceUrl: url, authenticator: new IamAuthenticator({ apikey, url: host }),
    });
  }
  return new VisualRecognitionV3({
    version, url, iam_apikey: apikey, iam_url: `${host}/identity/token`,
  });
}

/** Clients that show a key or a token in other ways. */
function others(token) {
  if (newer) {
    const { BasicAuthenticator, BearerTokenAuthenticator } = require("ibm-watson/auth");
    const client = (authenticator) =>
      new VisualRecognitionV3({ version, serviceUrl: url, authenticator });
    return {
      bearer: client(new BearerTokenAuthenticator({ bearerToken: token })),
      basic: client(new BasicAuthenticator({ username: "apikey", password: key })),
      wrong_basic: client(new BasicAuthenticator({ username: "apikey", password: "wrong" })),
    };
  }
  return { bearer: new VisualRecognitionV3({ version, url, iam_access_token: token }) };
}

/** Clients of a server that asks for no key: told so, and told by the environment. */
function withoutKey() {
  if (newer) {
    const { NoAuthAuthenticator } = require("ibm-watson/auth");
    process.env.WATSON_VISION_COMBINED_URL = open;
    process.env.WATSON_VISION_COMBINED_AUTH_TYPE = "noauth";
    return {
      without_key: new VisualRecognitionV3({
        version, serviceUrl: open, authenticator: new NoAuthAuthenticator(),
      }),
      environment: new VisualRecognitionV3({ version }),
    };
  }
  return { without_key: new VisualRecognitionV3({ version, url: open, use_unauthenticated: true }) };
}

/** What a call resolves to or rejects with, as JSON. */
async function tried(call) {
  try {
    const answer = await call();
    return newer ? answer.result : answer;
  } catch (error) {
    if (!("code" in error || "status" in error)) throw error;
    // That of a file to download is a stream, also where it is an error.
    const body = typeof error.body === "string" ? error.body : "";
    const headers = error.headers || {};
    return {
      code: error.status || error.code, message: error.message, body,
      transaction: headers["x-global-transaction-id"] || null,
    };
  }
}

const classify = (service, options, file = "smiling.jpg") =>
  tried(() => service.classify(named({ imagesFile: stream(file), ...options })));

async function settled(service, classifierId) {
  const end = Date.now() + MILLISECONDS;
  for (;;) {
    const found = await tried(() => service.getClassifier(named({ classifierId })));
    if (["ready", "failed"].includes(found.status) || Date.now() > end) return found;
    await pause(100);
  }
}

async function looks(service) {
  return {
    file: await classify(service, {}),
    all: await classify(service, { threshold: 0 }),
    ids: await classify(service, { threshold: 0.6, classifierIds: ["emotion", "default"] }),
    zip: await classify(service, {}, "photos.zip"),
    named: await classify(service, { imagesFilename: "grüße.jpg", acceptLanguage: "de" }),
    buffer: await tried(() => service.classify(
      named({ imagesFile: fs.readFileSync(path.join(files, "smiling.jpg")) }))),
    url: await tried(() => service.classify({ url: "http://pictures.example/me.jpg" })),
    no_images: await tried(() => service.classify({ threshold: 0.5 })),
    unknown_id: await classify(service, { classifierIds: ["dogs_123456789"] }),
    no_picture: await classify(service, {}, "text.txt"),
  };
}

async function life(service) {
  const seen = {};
  seen.created = await tried(() => service.createClassifier(named({
    name: "Smile or calm",
    positiveExamples: { smile: stream("smile.zip") },
    negativeExamples: stream("calm.zip"),
  })));
  const classifierId = seen.created.classifier_id;
  const one = named({ classifierId });
  seen.listed = await tried(() => service.listClassifiers({}));
  seen.ready = await settled(service, classifierId);
  seen.updated = await tried(() => service.updateClassifier(named({
    classifierId,
    positiveExamples: { calm: fs.readFileSync(path.join(files, "calm.zip")) },
  })));
  seen.retrained = await settled(service, classifierId);
  seen.verbose = await tried(() => service.listClassifiers({ verbose: true }));
  seen.smiling = await classify(service, { classifierIds: [classifierId] });
  seen.neutral = await classify(service, { classifierIds: [classifierId] }, "neutral.jpg");
  seen.owners = await classify(service, { owners: ["IBM", "me"] });
  seen.core_ml = await tried(() => service.getCoreMlModel(one));
  seen.deleted = await tried(() => service.deleteClassifier(one));
  seen.gone = await tried(() => service.getClassifier(one));
  seen.deleted_again = await tried(() => service.deleteClassifier(one));
  seen.labelled = await tried(() => service.createClassifier({
    ...named({
      name: "Anna's",
      positiveExamples: { smile: stream("smile.zip") },
      negativeExamples: stream("calm.zip"),
    }),
    headers: { "X-Watson-Metadata": "customer_id=anna", "X-Watson-Learning-Opt-Out": "1" },
  }));
  seen.user_data = await tried(() => service.deleteUserData(named({ customerId: "anna" })));
  seen.at_the_end = await tried(() => service.listClassifiers({}));
  return seen;
}

async function refused(service) {
  return {
    one_class: await tried(() => service.createClassifier(named({
      name: "x", positiveExamples: { smile: stream("smile.zip") },
    }))),
    bad_class: await tried(() => service.createClassifier(named({
      name: "x",
      positiveExamples: { "a-b": stream("smile.zip") },
      negativeExamples: stream("calm.zip"),
    }))),
  };
}

/** A token, got as a program without this SDK would. */
async function token() {
  const grant = encodeURIComponent("urn:ibm:params:oauth:grant-type:apikey");
  const answer = await fetch(`${host}/identity/token`, {
    method: "POST",
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
    body: `grant_type=${grant}&apikey=${encodeURIComponent(key)}`,
  });
  return (await answer.json()).access_token;
}

async function main() {
  const service = withIam(key);
  const seen = {
    ...(await looks(service)), ...(await life(service)), ...(await refused(service)),
  };
  seen.wrong_key = await classify(withIam("wrong"), {});
  for (const [name, client] of Object.entries(others(await token()))) {
    seen[name] = await tried(() => client.listClassifiers({}));
  }
  for (const [name, client] of Object.entries(withoutKey())) {
    seen[name] = await classify(client, {});
  }
  console.log(JSON.stringify(seen));
  // A download that failed is a stream that nobody reads, and would keep this alive.
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
