export default function Home() {
  return <h1>Signed out</h1>
}
