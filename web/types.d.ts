// Addresses of files that vite leaves as they are.

declare module "*?url&no-inline" {
  const url: string;
  export default url;
}

declare module "*.css";
