// The founding document's TypeScript example between the two lines, word for word; around it, what a page would have.
import { environment, picture } from "./environment.js";

const token = environment("TOKEN");
const plainFetch = globalThis.fetch;
// The example names its server; the test's listens on another port.
globalThis.fetch = (input, init) =>
    plainFetch(String(input).replace("http://localhost:8002", environment("BASE_URL")), init);

// ---------------------------------------------------------------------------------------------------------------------
// Upload media
async function uploadMedia(file: File, contentId?: string) {
  const formData = new FormData();
  formData.append('file', file);
  formData.append('media_type', 'image');
  if (contentId) {
    formData.append('content_id', contentId);
  }

  const response = await fetch('http://localhost:8002/api/v1/media/upload', {
    method: 'POST',
    headers: {
      'Authorization': `Bearer ${token}`
    },
    body: formData
  });

  return await response.json();
}

// Get content media
async function getContentMedia(contentId: string) {
  const response = await fetch(
    `http://localhost:8002/api/v1/media/content/${contentId}/media`
  );

  return await response.json();
}
// ---------------------------------------------------------------------------------------------------------------------

const photo = picture("photo.png");
const media = await uploadMedia(photo, environment("CONTENT_ID"));
const loose = await uploadMedia(photo);
const found = await getContentMedia(environment("CONTENT_ID"));
console.log(JSON.stringify({ media, loose, found }));
