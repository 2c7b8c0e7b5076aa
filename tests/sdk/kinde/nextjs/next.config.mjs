// The article's code stands here as it is printed, which the types of Kinde's package do not accept (`number | null |
// undefined` for a `number`); what is shown is what it does. This folder is the root, whatever lock files lie above it.
export default { turbopack: { root: import.meta.dirname }, typescript: { ignoreBuildErrors: true } }
