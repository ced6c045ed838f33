; run: scalify --recipe fp8 --scales delayed
; error: E0302 tanh: delayed scales are kept in states, which a nested graph has none of
graph @g(%x: f32[4,4], %c: bool[]) -> (%y) {
  %y = if %c, %x : f32[4,4] from "if"
    graph @then(%q: f32[4,4]) -> (%r) {
      %e = tanh %q : f32[4,4] from "tanh"
      %r = matmul %e, %e : f32[4,4] from "then"
    }
    graph @else(%q: f32[4,4]) -> (%r) {
      %r = mul %q, %q : f32[4,4] from "else"
    }
}
