// Uploads, lists and downloads with the generated client; prints one JSON line for the test to look at.
import { client } from "./generated/client.gen.js";
import { createContent, downloadMedia, listMedia, uploadMedia } from "./generated/index.js";
import { environment, picture } from "./environment.js";

client.setConfig({ baseUrl: environment("BASE_URL"), auth: environment("TOKEN"), throwOnError: true });

const photo = picture("a photo.png");
const { data: content } = await createContent({ body: { title: "Mission report" }, throwOnError: true });
const form = { file: photo, media_type: "image", content_id: content.id } as const;
const headers = { "Idempotency-Key": "smoke" };
const uploaded = await uploadMedia({ body: form, headers, throwOnError: true });
const again = await uploadMedia({ body: form, headers, throwOnError: true });

const media = uploaded.data;
const { data: list } = await listMedia({ query: { content_id: content.id, media_type: "image" }, throwOnError: true });
const downloaded = await downloadMedia({ path: { media_id: media.id }, parseAs: "blob", throwOnError: true });
const refused = await uploadMedia({ body: { ...form, media_type: "video" }, throwOnError: false });

console.log(
    JSON.stringify({
        filename: media.filename,
        width: media.width,
        location: uploaded.response.headers.get("Location"),
        replayed: again.response.headers.get("Idempotent-Replayed"),
        listed: list.items.map((item) => item.id === media.id),
        total: list.total,
        downloadedBytes: (downloaded.data as Blob).size,
        fileSize: media.file_size,
        refusedWith: refused.error?.code,
    }),
);
