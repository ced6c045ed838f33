; run: fold
; idempotent
graph @g(%x: f32[4]) -> (%y, %z) {
  %a = const [1,2,3,4] : f32[4]
  %b = const 0.5 : f32[]
  %c = mul %a, %b : f32[4] from "scale"
  %d = neg %c : f32[4] from "neg"
  %y = add %x, %d : f32[4] from "add"
  %z = sub %c, %a : f32[4] from "sub"
}
; --- what depends on constants only is computed
graph @g(%x: f32[4]) -> (%y, %d as z) {
  %d = const [-0.5,-1,-1.5,-2] : f32[4] from "neg"
  %y = add %x, %d : f32[4] from "add"
}
